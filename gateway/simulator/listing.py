"""The calls of business.openapi.zalo.me that tell of templates and of the OA's standing."""

from typing import Any, Final

from gateway.simulator.business import refused
from gateway.simulator.codes import Refusal
from gateway.simulator.exchange import Asked, Told, told_json
from gateway.simulator.templates import STATUS_NUMBERS, Template
from gateway.simulator.zalo import Zalo

MOST_LISTED: Final = 100
UID_PRICE_PERCENT: Final = 70


def template_all(zalo: Zalo, asked: Asked) -> Told:
    """`GET /template/all`: a page of the templates, newest first."""
    query = asked.query()
    try:
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "100"))
    except ValueError:
        return refused(Refusal(-132))
    if offset < 0 or not 0 <= limit <= MOST_LISTED or query.get("filterPreset", "0") not in ("0", "1"):
        return refused(Refusal(-132))
    status = query.get("status", "")
    if status and status not in STATUS_NUMBERS:
        return refused(Refusal(-132, "Invalid status"))
    found = [
        each
        for each in zalo.templates.values()
        if (each.status == STATUS_NUMBERS[status] if status else each.status != "DELETE")
    ]
    data = [
        {
            "templateId": each.number,
            "templateName": each.name,
            "createdTime": each.created_ms,
            "status": each.status,
            "templateQuality": each.quality,
        }
        for each in found[offset : offset + limit]
    ]
    return told_json({"error": 0, "message": "Success", "data": data, "metadata": {"total": len(found)}})


def template_info(zalo: Zalo, asked: Asked, *, is_v1: bool) -> Told:
    """`GET /template/info/v2`, or v1 with the template's own quota."""
    template = _named(zalo, asked)
    if template is None:
        return refused(Refusal(-109))
    data = _described(template)
    if is_v1:
        daily = template.daily_quota
        used = zalo.quotas.used_by(template, zalo.clock.wall())
        data |= {
            "applyTemplateQuota": daily is not None,
            "templateDailyQuota": None if daily is None else str(daily),
            "templateRemainingQuota": None if daily is None else str(max(0, daily - used)),
        }
    return told_json({"error": 0, "message": "Success", "data": data})


def sample_data(zalo: Zalo, asked: Asked) -> Told:
    """`GET /template/sample-data`: amounts are ints here."""
    template = _named(zalo, asked)
    if template is None:
        return refused(Refusal(-109))
    data = {each.name: int(each.sample) if each.kind == "currency" else each.sample for each in template.params}
    return told_json({"error": 0, "message": "Success", "data": data})


def template_tag(_zalo: Zalo, _asked: Asked) -> Told:
    """`GET /message/template-tag`: the kinds of content that the OA may send."""
    tags = ["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"]
    return told_json({"error": 0, "message": "Success", "data": tags})


def quality(_zalo: Zalo, _asked: Asked) -> Told:
    """`GET /quality`: how well the OA's messages are received."""
    data = {"oaCurrentQuality": "HIGH", "oa7dayQuality": "HIGH"}
    return told_json({"error": 0, "message": "success", "data": data})


def _named(zalo: Zalo, asked: Asked) -> Template | None:
    return zalo.templates.get(asked.query().get("template_id", ""))


def _described(template: Template) -> dict[str, Any]:
    data: dict[str, Any] = {
        "templateId": template.template_id,
        "templateName": template.name,
        "status": template.status,
        "listParams": [each.listed() for each in template.params],
        "listButtons": [
            {"type": kind, "title": title, "content": content} for kind, title, content in template.buttons
        ],
        "timeout": template.timeout_ms,
        "previewUrl": f"https://account.zalo.solutions/znspreview/{template.template_id}",
        "templateQuality": template.quality,
        "templateTag": template.tag,
        "price": f"{template.price}.0",
        "price_sdt": str(template.price),
        "price_uid": str(template.price * UID_PRICE_PERCENT // 100),
    }
    if template.reason is not None:
        data["reason"] = template.reason
    return data
