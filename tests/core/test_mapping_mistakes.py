"""`check` is precise: one slip in what is shipped is one finding, on its line, with its cure."""

import codecs
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.check import inspect
from gateway.cli.terminal import Asking
from gateway.core.mapping_faults import ConfigFault

ROOT = Path(__file__).parents[2]
Edit = tuple[str | bytes, str | bytes] | Callable[[Path], None]

ORDER = "mappings/order.paid.toml"
OTP = "mappings/auth.otp.toml"
SHIPPING = "mappings/shipping.status.toml"
APPOINTMENT = "mappings/appointment.reminder.toml"
BILL = "mappings/bill.issued.toml"
PAYMENT = "mappings/payment.request.toml"
PLAIN = "samples/order.paid/plain.json"

SECOND = '[[template]]\nid = "1"\nphone = "{{ data.phone }}"\ndata = { a = "x" }\n'
AGAIN = SECOND.replace("id =", 'when = \'data.status | label("status", "") != ""\'\nid =')


def renamed(name: str) -> Callable[[Path], None]:
    def rename(file: Path) -> None:
        file.rename(file.with_name(name))

    return rename


def written(content: bytes) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)

    return write


def added(text: str) -> Callable[[Path], None]:
    def add(file: Path) -> None:
        file.write_text(f"{file.read_text()}\n{text}")

    return add


def cut(text: str) -> Callable[[Path], None]:
    """The file ends before this text."""

    def end(file: Path) -> None:
        file.write_text(file.read_text().partition(text)[0])

    return end


def copied(name: str) -> Callable[[Path], None]:
    """A copy of the file lies beside it under that name."""

    def copy(file: Path) -> None:
        target = file.parent / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)

    return copy


def removed(file: Path) -> None:
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def without(start: str) -> Callable[[Path], None]:
    """The lines that begin so are gone."""

    def drop(file: Path) -> None:
        kept = [line for line in file.read_text().splitlines() if not line.startswith(start)]
        file.write_text("\n".join(kept) + "\n")

    return drop


# Its name, the file, the edit; then where the finding is (a line of that file, or another file:line), and words of it.
# fmt: off
MISTAKES: list[tuple[str, str, Edit, str]] = [
    # names in the event
    ("attribute", ORDER, ("data.customer.phone", "data.custmer.phone"), "13 … did you mean `data.customer.phone`?"),
    ("attribute that is the whole value", ORDER, ("data.order_id", "data.oder_id"), "18 … did you mean `data.order_id`?"),
    ("attribute without data.", ORDER, ("data.order_id", "order_id"), "18 … did you mean `data.order_id`?"),
    ("attribute behind a default", ORDER, ("data.customer.name |", "data.customer.nam |"), "17 … no sample has … did you mean `data.customer.name`?"),
    ("attribute in when", SHIPPING, ("when = 'data.status", "when = 'data.satus"), "15 … did you mean `data.status`?"),
    ("attribute in not_before", APPOINTMENT, ("data.date | plus", "data.dat | plus"), "4 … did you mean `data.date`?"),
    ("attribute in the middle", BILL, ("data.customer.id", "data.costumer.id"), "17 … did you mean `data.customer.id`?"),
    ("word for true", SHIPPING, ('\'data.status | label("status", "") != ""\'', "'yes'"), "15 … the event has no `yes`"),
    # filters
    ("filter", ORDER, ("data.total | vnd", "data.total | vdn"), "19 … unknown filter `vdn` … did you mean `vnd`?"),
    ("filter's argument", APPOINTMENT, ("plus(hours=-15)", "plus(hour=-15)"), "4 … `plus` … 'hour' … write plus(days=0, hours=0, minutes=0)"),
    ("filter's argument is no constant", ORDER, ("shorten(30)", "shorten(data.n)"), "17 … needs a constant for n … write shorten(n,"),
    ("filter without its argument", BILL, ("customer.name | shorten(30)", "customer.name | shorten"), "16 … missing a required argument … write shorten(n,"),
    ("negative shorten", ORDER, ("shorten(30)", "shorten(-30)"), "17 … `shorten` … needs a number above 1"),
    ("strftime format", ORDER, ("%H:%M %d/%m/%Y", "%H:%Q %d/%m/%Y"), "20 … `local` … %Q"),
    ("time zone", ORDER, ('%Y")', '%Y", "Asia/Hanoi")'), "20 … `local` … Asia/Ho_Chi_Minh"),
    ("format that the samples do not have", ORDER, ("%H:%M %d/%m/%Y", "%H:%M %d-%m-%Y"), "20 … disagree with `paid_at` … mend the mapping or the sample"),
    ("test", ORDER, ("{{ data.order_id }}", "{{ data.order_id if data.order_id is definde else 0 }}"), "18 … unknown test `definde` … did you mean `defined`?"),
    ("call", ORDER, ("{{ data.order_id }}", "{{ data.order_id.upper() }}"), "18 … calls something … use a filter"),
    ("statement", ORDER, ("{{ data.order_id }}", "{% if data.order_id %}x{% endif %}"), "18 … a statement … {{ a if b else c }}"),
    ("if without else", ORDER, ("{{ data.order_id }}", "{{ data.order_id if data.total }}"), "18 … without an else … say what else"),
    # brackets and quotes
    ("closing quote", ORDER, ("{{ data.order_id }}'", "{{ data.order_id }}"), "18 … is not TOML … not closed … end it with the quote"),
    ("opening quote", ORDER, ("'{{ data.order_id", "{{ data.order_id"), "18 … is not TOML … quotes"),
    ("closing double quote", ORDER, ('"Thẻ"', '"Thẻ'), "7 … is not TOML … not closed … end it with the quote"),
    ("same quote inside", ORDER, ('default("Quý khách"', "default('Quý khách'"), "17 … is not TOML … use the other kind"),
    ("bracket of the table", ORDER, ("[template.data]", "[template.data"), "16 … is not TOML … bracket is missing … [table]"),
    ("bracket of the list", ORDER, ('["payment_method"]', '["payment_method"'), "14 … is not TOML … not closed … ]"),
    ("one bracket of two", ORDER, ("[[template]]", "[[template]"), "11 … is not TOML … [[template]]"),
    ("brace", ORDER, ("{{ data.order_id }}", "{{ data.order_id }"), "18 … no expression … close each {{ with }}"),
    ("braces", ORDER, ("{{ data.order_id }}", "data.order_id"), "18 … disagree with `order_id` … write '{{ data.order_id }}'"),
    ("braces in when", SHIPPING, ('\'data.status | label("status", "") != ""\'', "'{{ data.status }}'"), "15 … an expression by itself … leave out the braces"),
    ("round bracket", ORDER, ("shorten(30)", "shorten(30"), "17 … no expression … close each ( with )"),
    ("value without quotes", ORDER, ('account = "main"', "account = main"), "3 … is not TOML … put text in quotes"),
    ("key without value", ORDER, ('account = "main"', "account"), "3 … is not TOML … write key = value"),
    # keys
    ("unknown key", ORDER, ('account = "main"', 'account = "main"\ncolour = "red"'), "4 … `colour` is not a key … there are"),
    ("misspelt key", OTP, ("priority =", "prioriti ="), "4 … `prioriti` … did you mean `priority`?"),
    ("misspelt key that is needed", ORDER, ("phone =", "phon ="), "13 … `phon` … did you mean `phone`?"),
    ("misspelt table", ORDER, ("[template.data]", "[template.dat]"), "16 … `dat` … did you mean `data`?"),
    ("misspelt template", SHIPPING, ("[[template]]", "[[tempalte]]"), "14 … `tempalte` … did you mean `template`?"),
    ("key in the wrong table", ORDER, ('id = "78', 'priority = "bulk"\nid = "78'), "12 … `priority` … above the first [table]"),
    ("key above its table", ORDER, ('account = "main"', 'account = "main"\nphone = "x"'), "4 … `phone` … below [[template]]"),
    ("duplicate key", ORDER, ('account = "main"', 'account = "main"\naccount = "main"'), "4 … there twice … delete one"),
    ("duplicate table", ORDER, ("[template.data]", "[template.data]\n[template.data]"), "17 … there twice … put what they hold into one"),
    ("type of a key", ORDER, ('account = "main"', "account = 5"), "3 … `account` is not text … put it in quotes"),
    ("type of a list", OTP, ('secret = ["otp"]', 'secret = "otp"'), '12 … `secret` is not a list … write secret = ["name"]'),
    ("type of a value", BILL, ("'{{ data.period }}'", "true"), "12 … `ky` is neither text nor a number … quotes"),
    ("duration", OTP, ('"5m"', '"5 minutes"'), '5 … `expires_after` is no duration … like "5m"'),
    ("no time at all", OTP, ('"5m"', '"0s"'), "5 … `expires_after` is no duration … from 1s"),
    ("priority", OTP, ('"urgent"', '"urgnet"'), '4 … `priority` … write "urgent"'),
    ("on_unknown", OTP, ('"resend"', '"retry"'), '6 … `on_unknown` … write "hold" or "resend"'),
    ("not_before is no time", APPOINTMENT, ("{{ data.date | plus(hours=-15) }}", "tomorrow"), "4 … `not_before` is not a time … write a time"),
    ("not_before of another value", APPOINTMENT, ("{{ data.date | plus(hours=-15) }}", "{{ data.code }}"), "4 … /data/code is not a time … mend"),
    ("account", ORDER, ('account = "main"', 'account = "mian"'), "3 … account `mian` is not configured … did you mean `main`?"),
    ("when is a truth value", SHIPPING, ('\'data.status | label("status", "") != ""\'', "true"), "15 … `when` is not text … quotes"),
    ("when is text", SHIPPING, ('\'data.status | label("status", "") != ""\'', '\'"yes"\''), "15 … `when` is the same for every event … leave `when` out"),
    ("when is one =", SHIPPING, ('!= ""\'', '= ""\''), "15 … `when` is no expression … =="),
    ("when the other way round", SHIPPING, ('!= ""\'', '== ""\''), "15 … `when` holds for none of the 2 … mend the `when`"),
    # labels
    ("label table", ORDER, ('label("payment_method"', 'label("payment_methods"'), "21 … [labels.payment_methods] … did you mean `payment_method`?"),
    ("label table's name", SHIPPING, ("[labels.status]", "[labels.state]"), "15 … [labels.status] that is not there … used on line 23 too … did you mean `state`?"),
    ("labels", APPOINTMENT, ("[labels.slot]", "[label.slot]"), "6 … `label` … did you mean `labels`?"),
    ("code without a label", APPOINTMENT, without("s2 ="), "19 … a code without a label … add the code to the table"),
    ("label is no text", APPOINTMENT, ('"08:00 - 10:00"', "8"), "7 … label of `s1` is not text … quotes"),
    # templates
    ("parameter", ORDER, ("total = ", "totl = "), "19 … no parameter `totl` … did you mean `total`?"),
    ("parameter with another accent", "templates/310005.json", ('"name": "ky"', '"name": "kỳ"'), "mappings/bill.issued.toml:12 … no parameter `ky` … did you mean `kỳ`?"),
    ("parameter too many", ORDER, ("total = ", "shop = 'x'\ntotal = "), "19 … no parameter `shop` … there are"),
    ("parameter missing", ORDER, without("order_id ="), "16 … `order_id` is missing … requires it … add order_id ="),
    ("parameter that is secret, misspelt", OTP, ("otp = ", "opt = "), "15 … no parameter `opt` … did you mean `otp`?"),
    ("constant too long", APPOINTMENT, ("12 Nguyễn Huệ", "12 Nguyễn Huệ " * 7), "21 … has 123 characters … at most 80 … write another"),
    ("constant with nothing in it", APPOINTMENT, ('"12 Nguyễn Huệ, Quận 1, TP. Hồ Chí Minh"', '""'), "21 … address must not be empty"),
    ("secret", OTP, ('["otp"]', '["opt"]'), "12 … `secret` names `opt` … did you mean `otp`?"),
    ("omit_empty", ORDER, ('["payment_method"]', '["payment_methd"]'), "14 … `omit_empty` names … did you mean `payment_method`?"),
    ("omit_empty of what is required", ORDER, ('["payment_method"]', '["order_id", "payment_method"]'), "18 … requires it … take it out of omit_empty"),
    ("another template's id", ORDER, ('"7895417a7d3f9461cd2e"', '"310002"'), "12 … does not take this data … did you mean `7895417a7d3f9461cd2e`?"),
    ("nobody's id", SHIPPING, ('"310002"', '"31000"'), "14 … disagree with `template_id` … expects template 310002 and gets 31000"),
    ("no id", ORDER, without("id ="), "11 … has no `id` … write the id"),
    ("no phone", OTP, without("phone ="), "9 … has no `phone` … write phone ="),
    ("second template unreachable", OTP, added(SECOND), "17 … is never reached … give that one a `when`"),
    ("the same when twice", SHIPPING, added(AGAIN), "26 … has the same `when` … delete it"),
    ("no [[template]]", OTP, without("[[template]]"), "9 … no [[template]] … write it above this line"),
    ("one bracket each", OTP, ("[[template]]", "[template]"), "9 … no [[template]] … write [[template]]"),
    ("no data", ORDER, cut("[template.data]"), "11 … has no data … write [template.data]"),
    # files
    ("file name", ORDER, renamed("order paid.toml"), "mappings/order paid.toml:1 … not named after an event type … name it TYPE.toml"),
    ("event type", ORDER, renamed("order.payd.toml"), "samples/order.paid/landline.json:1 … no mapping is named `order.paid` … 6 samples … did you mean `order.payd`?"),
    ("ending in capitals", ORDER, copied("order.extra.TOML"), "mappings/order.extra.TOML:1 … is not read … name it order.extra.toml"),
    ("another language", ORDER, copied("order.extra.yaml"), "mappings/order.extra.yaml:1 … is not read … name it order.extra.toml"),
    ("folder in mappings", ORDER, copied("sub/order.extra.toml"), "mappings/sub/order.extra.toml:1 … is not read … put it into mappings/ itself"),
    ("loose sample", ORDER, copied("../samples/loose.json"), "samples/loose.json:1 … is not read … put it into samples/<event type>/"),
    ("ending", ORDER, renamed("order.paid.tml"), "mappings/order.paid.tml:1 … is not read … name it order.paid.toml"),
    ("empty", ORDER, written(b""), "1 … is empty … write a mapping"),
    ("not UTF-8", ORDER, ("Thẻ".encode(), b"Th\xff"), "7 … is not UTF-8 … save the file as UTF-8"),
    ("no samples", "samples/payment.request", removed, "mappings/payment.request.toml:1 … has no sample … add samples/payment.request/plain.json"),
    ("samples of nothing", "samples/refund.made/plain.json", written(b"{}"), "1 … no mapping is named `refund.made` … delete the folder"),
    ("samples' folder", "samples/order.paid", renamed("order.payed"), "samples/order.payed/landline.json:1 … no mapping is named `order.payed` … did you mean `order.paid`?"),
    # samples
    ("sample disagrees", PLAIN, ('"1.250.000đ"', '"1.250.000 đ"'), '24 … expects for `total` "1.250.000 đ" and gets "1.250.000đ" … mend'),
    ("sample's phone", PLAIN, ('"84912345678"', '"0912345678"'), "20 … another phone … 84 and nine digits"),
    ("sample's template", PLAIN, ('"7895417a7d3f9461cd2e"', '"310002"'), "19 … expects template 310002"),
    ("sample lacks a parameter", PLAIN, without('      "total": "1'), "21 … expects for `total` nothing and gets"),
    ("sample is no JSON", PLAIN, ('"DH-20261123-001",\n      "total": 1250000', '"DH-20261123-001"\n      "total": 1250000'), "8 … is not JSON … comma"),
    ("sample with a comma too many", PLAIN, ('"payment_method": "Thẻ"', '"payment_method": "Thẻ",'), "26 … is not JSON … comma"),
    ("sample is not UTF-8", PLAIN, ("Thẻ".encode(), b"Th\xff"), "26 … is not UTF-8 … save the file"),
    ("sample's key", PLAIN, ('"expect"', '"expects"'), "18 … `expects` … did you mean `expect`?"),
    ("sample's key inside", PLAIN, ('"template_data"', '"templat_data"'), "21 … `templat_data` … did you mean `template_data`?"),
    ("sample's type", PLAIN, ('"type": "order.paid"', '"type": "order.payd"'), "5 … another type than `order.paid` … mend its type"),
    ("sample with a member twice", PLAIN, ('"total": 1250000', '"total": 1250000, "total": 1'), "9 … `total` is there twice … delete one"),
    ("sample's event has no data", PLAIN, ('"data": {', '"dat": {'), "2 … event/data … required"),
    ("sample's event has a misspelt member", "samples/bill.issued/plain.json", ('"customer": {', '"custmer": {'), "12 … has no `data.customer` … did you mean `customer`?"),
    ("sample's error", "samples/order.paid/no-total.json", ('"mapping-failed"', '"maping-failed"'), "16 … expects an error … did you mean `mapping-failed`?"),
    ("sample's other error", "samples/order.paid/no-total.json", ('"mapping-failed"', '"invalid-phone"'), "16 … expects invalid-phone and ends in mapping-failed"),
    ("sample that is not skipped", "samples/shipping.status/returned.json", ('"returned"', '"picked"'), "16 … expects a skip, and template 310002 is filled"),
    ("sample that is skipped", "samples/shipping.status/delivering.json", ('"delivering"', '"returned"'), "18 … is skipped … mend a `when`"),
    # snapshots
    ("snapshot with another id", "templates/310001.json", ('"310001"', '"310009"'), "2 … is the snapshot of template 310009 … name it 310009.json"),
    ("snapshot is no JSON", "templates/310001.json", ('"ENABLE"', '"ENABLE'), "4 … is not JSON … templates pull"),
    ("snapshot of something else", "templates/310001.json", written(b"[]"), "1 … is not a JSON object … templates pull"),
    ("snapshot is not UTF-8", "templates/310001.json", ("Mã".encode(), b"M\xff"), "1 … is not UTF-8"),
    ("template is withdrawn", "templates/310001.json", ("ENABLE", "REJECT"), "mappings/auth.otp.toml:9 … REJECT at Zalo … use another template"),
    # gateway.toml
    ("gateway.toml: key", "gateway.toml", ("max_batch = 1000", "max_bach = 1000"), "14 … `max_bach` … did you mean `max_batch`?"),
    ("gateway.toml: duration", "gateway.toml", ('wait = "10s"', 'wait = "10x"'), "12 … `server.wait` … write a duration"),
    ("gateway.toml: quote", "gateway.toml", ('wait = "10s"', 'wait = "10s'), "12 … is not TOML … end it with the quote"),
    ("gateway.toml: account", "gateway.toml", ("[accounts.main]", "[acounts.main]"), "38 … `acounts` … did you mean `accounts`?"),
]
# fmt: on


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config"


def found(config: Path) -> list[ConfigFault]:
    return list(inspect(Asking(config / "gateway.toml")).faults)


def made(edit: Edit, file: Path) -> None:
    if callable(edit):
        edit(file)
        return
    before, after = (part.encode() if isinstance(part, str) else part for part in edit)
    raw = file.read_bytes()
    assert before in raw
    file.write_bytes(raw.replace(before, after, 1))


@pytest.mark.parametrize(
    ("file", "edit", "finding"), [each[1:] for each in MISTAKES], ids=[each[0] for each in MISTAKES]
)
def test_one_mistake_is_one_finding_on_its_line_with_its_cure(
    config: Path, file: str, edit: Edit, finding: str
) -> None:
    where, *words = finding.split(" … ")
    made(edit, config / file)
    told = [str(fault).replace(f"{config}/", "") for fault in found(config)]
    assert len(told) == 1, "\n".join(told)
    assert told[0].startswith(f"{where}: " if ":" in where else f"{file}:{where}: "), told[0]
    assert all(word in told[0] for word in words), told[0]
    assert "\n" not in told[0]


def test_the_mistakes_are_many_and_each_has_its_name() -> None:
    assert len({each[0] for each in MISTAKES}) == len(MISTAKES) >= 30


def test_what_is_shipped_and_the_whole_gallery_have_no_fault(config: Path) -> None:
    assert found(config) == []
    for folder in ("mappings", "samples", "templates"):
        shutil.rmtree(config / folder)
        shutil.copytree(ROOT / "docs" / "gallery" / folder, config / folder)
    assert found(config) == []


def crlf(raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    "rewritten",
    [
        crlf,
        lambda raw: codecs.BOM_UTF8 + raw,
        lambda raw: codecs.BOM_UTF8 + crlf(raw),
        lambda raw: raw.replace(b" = ", b"\t=\t").replace(b'\n  "', b'\n\t\t"'),
        lambda raw: raw.replace(b"\n", b"  \n") + b"\n\n",
        lambda raw: raw.rstrip(b"\n"),
    ],
    ids=["CRLF", "BOM", "BOM and CRLF", "tabs", "trailing blanks", "no end of line"],
)
def test_how_an_editor_saves_files_is_no_mistake(config: Path, rewritten: Callable[[bytes], bytes]) -> None:
    for file in [*config.rglob("*.toml"), *config.rglob("*.json")]:
        file.write_bytes(rewritten(file.read_bytes()))
    assert found(config) == []


def test_a_slip_is_found_on_its_line_in_a_file_with_crlf_too(config: Path) -> None:
    file = config / ORDER
    file.write_bytes(crlf(file.read_bytes().replace(b"data.total | vnd", b"data.total | vdn")))
    (fault,) = found(config)
    assert (fault.file, fault.line) == (str(file), 19)


def test_mistakes_in_several_files_are_all_found_at_once(config: Path) -> None:
    made(("data.total | vnd", "data.total | vdn"), config / ORDER)
    made(('"1.250 m³"', '"1250 m³"'), config / "samples/bill.issued/large.json")
    made(('"5m"', '"5x"'), config / OTP)
    made(('wait = "10s"', 'wait = "10x"'), config / "gateway.toml")
    told = [(Path(fault.file).name, fault.line) for fault in found(config)]
    assert told == [("gateway.toml", 12), ("auth.otp.toml", 5), ("order.paid.toml", 19), ("large.json", 31)]


def test_the_same_mistake_in_two_samples_is_two_findings_while_others_agree(config: Path) -> None:
    for name in ("plain", "sparse"):
        made(('000đ"', '000 đ"'), config / f"samples/order.paid/{name}.json")
    assert [Path(fault.file).name for fault in found(config)] == ["plain.json", "sparse.json"]
