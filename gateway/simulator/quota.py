"""How much is left: of the OA's day, of a template's day, of the month's promotions, of the money."""

from gateway.simulator.clock import vietnam_day, vietnam_month
from gateway.simulator.codes import Refusal
from gateway.simulator.rules import Rules
from gateway.simulator.templates import Template


class Quotas:
    """Counts what was accepted; days and months begin at midnight in Vietnam."""

    def __init__(self) -> None:
        """Start with nothing used."""
        self._day = 0
        self._month = (0, 0)
        self._used = 0
        self._used_by_template: dict[str, int] = {}
        self._promotions = 0
        self.spent_vnd = 0
        self._development = 0

    def take(
        self, template: Template, wall: float, rules: Rules, *, is_development: bool, is_over_quota: bool
    ) -> Refusal | None:
        """One message is used up, or nothing is and this is why."""
        if is_development:
            if rules.development_messages is not None and self._development >= rules.development_messages:
                return Refusal(-126)
            self._development += 1
            return None
        if refusal := self._refusal(template, wall, rules, is_over_quota=is_over_quota):
            return refusal
        self._used += 1
        if template.daily_quota is not None:
            self._used_by_template[template.template_id] = self.used_by(template, wall) + 1
        if template.tag == "PROMOTION":
            self._promotions += 1
        if rules.balance is not None:
            self.spent_vnd += template.price
        return None

    def remaining(self, wall: float, rules: Rules) -> int:
        """Messages left to the OA today."""
        self._turn(wall)
        return max(0, rules.daily_quota - self._used)

    def remaining_promotions(self, wall: float, rules: Rules) -> int:
        """Promotions left to the OA this month."""
        self._turn(wall)
        return max(0, rules.monthly_promotion_quota - self._promotions)

    def used_by(self, template: Template, wall: float) -> int:
        """Messages of a template with a quota of its own, today."""
        self._turn(wall)
        return self._used_by_template.get(template.template_id, 0)

    def _turn(self, wall: float) -> None:
        if (day := vietnam_day(wall)) == self._day:
            return
        self._day, self._used = day, 0
        self._used_by_template.clear()
        if (month := vietnam_month(wall)) != self._month:
            self._month, self._promotions = month, 0

    def _refusal(self, template: Template, wall: float, rules: Rules, *, is_over_quota: bool) -> Refusal | None:
        self._turn(wall)
        if self._used >= rules.daily_quota and not is_over_quota:
            return Refusal(-144)
        if template.daily_quota is not None and self.used_by(template, wall) >= template.daily_quota:
            return Refusal(-147)
        if template.tag == "PROMOTION" and self._promotions >= rules.monthly_promotion_quota and not is_over_quota:
            return Refusal(-1441)
        if rules.balance is not None and self.spent_vnd + template.price > rules.balance:
            return Refusal(-115)
        return None
