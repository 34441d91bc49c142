"""Each filter does what its row of the language says, and is total: it returns or it refuses."""

import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import graphemes, moments, numbers, transforms
from gateway.core.values import MAX_ITEMS, MAX_TEXT, Absent, Refusal, nfc, number_text

ANY = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.decimals(),
        st.text(),
        st.dates(),
        st.datetimes(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
NUMBERS = st.one_of(st.integers(-(10**15), 10**15), st.decimals(-(10**9), 10**9, places=4))


def first_of(year: int) -> datetime:
    return datetime.fromisoformat(f"{year}-01-01")


MARKED = st.text(st.sampled_from("aễ\u0301\u0323đ 🇻🇳👩\u200d👧\u1112\u1161\u11ab한\ufe0f🏽\n"))


def refusal_of(apply: Callable[..., Any], *arguments: Any) -> str | None:
    try:
        apply(*arguments)
    except Refusal as refused:
        return refused.detail
    return None


class TestMoney:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            *(
                (1250000, "1.250.000đ"),
                ("1000000.00", "1.000.000đ"),
                (250000.0, "250.000đ"),
                (0, "0đ"),
                ("0", "0đ"),
            ),
            *(
                (999, "999đ"),
                (Decimal("1E+6"), "1.000.000đ"),
                (2**63, "9.223.372.036.854.775.808đ"),
                (-0.0, "0đ"),
            ),
        ],
    )
    def test_vnd_writes_whole_dong(self, value: Any, text: str) -> None:
        assert numbers.vnd(value) == text

    def test_vnd_takes_any_suffix_and_separator(self) -> None:
        assert numbers.vnd(1250000, " VNĐ") == "1.250.000 VNĐ"
        assert numbers.vnd(1250000, "", ",") == "1,250,000"

    @pytest.mark.parametrize(
        "value",
        [-1, "-1", 0.5, "1000.50", "1,000", "1.000.000", "1e6", "", "abc", True, None, [], {}, "١٢", 1e300],
    )
    def test_vnd_refuses_negative_fractional_and_unclear_amounts(self, value: Any) -> None:
        with pytest.raises(Refusal):
            numbers.vnd(value)

    @given(st.integers(0, 10**18))
    def test_vnd_keeps_every_digit(self, amount: int) -> None:
        written = numbers.vnd(amount)
        assert int(written[:-1].replace(".", "")) == amount
        assert all(len(group) == 3 for group in written[:-1].split(".")[1:])

    @pytest.mark.parametrize(
        ("value", "places", "text"),
        [
            *(
                (1234.5, None, "1.234,5"),
                (1234.5, 0, "1.235"),
                (2.5, 0, "3"),
                (-2.5, 0, "-3"),
                (0.125, 2, "0,13"),
            ),
            *(
                (1, 2, "1"),
                ("1234.10", None, "1.234,1"),
                ("-1234.1", 2, "-1.234,10"),
                (1e16, None, "10" + ".000" * 5),
            ),
        ],
    )
    def test_grouped_rounds_halves_away_from_zero(self, value: Any, places: int | None, text: str) -> None:
        assert numbers.grouped(value, places) == (text if places != 2 or value != 1 else "1,00")

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            *(
                (1500000, "1,5 triệu"),
                (2 * 10**9, "2 tỷ"),
                (999_999, "1 triệu"),
                (999_949, "999,9 nghìn"),
                (950_000, "950 nghìn"),
            ),
            *((1000, "1 nghìn"), (999, "999"), (0, "0"), (-1500000, "-1,5 triệu"), (1_250_000, "1,3 triệu")),
        ],
    )
    def test_short_words_climb_to_the_next_word_where_rounding_says_so(self, value: Any, text: str) -> None:
        assert numbers.short_words(value) == text

    @pytest.mark.parametrize(("value", "text"), [(10, "10%"), ("12.50", "12,5%"), (0, "0%"), (1250, "1250%")])
    def test_percent(self, value: Any, text: str) -> None:
        assert numbers.percent(value) == text

    @given(NUMBERS)
    def test_floor_and_ceil_enclose_the_number(self, value: Any) -> None:
        assert numbers.floor(value) <= value <= numbers.ceil(value)
        assert numbers.ceil(value) - numbers.floor(value) <= 1

    @given(st.lists(NUMBERS, min_size=1))
    def test_sums_and_extremes_are_those_of_exact_arithmetic(self, values: list[Any]) -> None:
        assert numbers.total(values) == sum(values, Decimal(0))
        assert (numbers.largest(values), numbers.smallest(values)) == (max(values), min(values))

    def test_a_sum_takes_products_of_members_and_says_where_one_is_missing(self) -> None:
        lines = [{"price": "0.1", "qty": 3}, {"price": 0.2, "qty": 1}]
        assert numbers.total(lines, "price", "qty") == Decimal("0.5")
        with pytest.raises(Absent) as refused:
            numbers.total([*lines, {"price": 1}], "price", "qty")
        assert refused.value.steps == (2, "qty")

    @given(st.floats(-1e15, 1e15))
    def test_a_float_is_the_decimal_that_it_is_written_as(self, value: float) -> None:
        refusal = refusal_of(lambda: number_text(numbers.number(value)))
        if refusal is None:
            assert float(number_text(numbers.number(value))) == value
        else:
            assert "digits behind the point" in refusal


class TestTime:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("2026-11-23T03:15:00Z", "10:15 23/11/2026"),
            ("2026-11-23t03:15:00z", "10:15 23/11/2026"),
            ("2026-11-23T10:15:00+07:00", "10:15 23/11/2026"),
            ("2026-11-23T10:15:00.123456789+0700", "10:15 23/11/2026"),
            ("2026-11-22T23:15:00-04", "10:15 23/11/2026"),
            ("2026-11-23T10:15:00", "10:15 23/11/2026"),
            ("2026-11-23 10:15", "10:15 23/11/2026"),
            ("20261123T101500", "10:15 23/11/2026"),
            (" 2026-11-23T03:15Z ", "10:15 23/11/2026"),
            (1795403700, "10:15 23/11/2026"),
            (1795403700.5, "10:15 23/11/2026"),
            (1795403700000, "10:15 23/11/2026"),
            (1795403700999.0, "10:15 23/11/2026"),
            ("1795403700", "10:15 23/11/2026"),
            ("1795403700000", "10:15 23/11/2026"),
            ("2026-11-23", "00:00 23/11/2026"),
            ("20261123", "00:00 23/11/2026"),
        ],
    )
    def test_every_way_to_write_a_time_is_read_as_vietnamese_time(self, value: Any, text: str) -> None:
        assert moments.local(value, "%H:%M %d/%m/%Y") == text

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "",
                "soon",
                "23/11/2026",
                "2026-13-01",
                "2026-02-30",
                "2026-11-23T25:00:00Z",
                "2026-11-23T10:15:00+99:00",
            ),
            *(
                "0001-01-01T00:00:00Z",
                "9999-12-31",
                "2026-11-23x10:15",
                "2026-11",
                "2026-W48-1",
                "٢٠٢٦-11-23",
                "-1",
                "0",
            ),
            *(
                "2026-11-23T03:15:00Z" * 100,
                0,
                -1,
                1,
                20261123,
                10**10,
                10**18,
                1e300,
                float("nan"),
                True,
                None,
                [],
                {},
            ),
            *("20261123101500", 20261123101500, 10**400),
        ],
    )
    def test_nonsense_is_refused(self, value: Any) -> None:
        with pytest.raises(Refusal):
            moments.local(value, "%H:%M %d/%m/%Y")

    @given(
        st.datetimes(first_of(1901), first_of(2199)),
        st.sampled_from(["Asia/Tokyo", "America/New_York"]),
    )
    def test_local_agrees_with_strftime_in_every_directive(self, naive: datetime, zone: str) -> None:
        moment = naive.replace(tzinfo=UTC)
        directives = [each for each in moments.DIRECTIVES if not each.startswith("%-")]
        for directive in directives:
            expected = moment.astimezone(ZoneInfo(zone)).strftime(directive)
            assert moments.local(moment.isoformat(), directive, zone) == expected

    @given(
        st.dates(date(1900, 1, 1), date(2199, 12, 31)),
        st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Adak"]),
    )
    def test_a_date_alone_is_never_shifted(self, day: date, zone: str) -> None:
        assert moments.local(day.isoformat(), "%Y-%m-%d", zone) == day.isoformat()

    def test_unpadded_directives_and_other_text(self) -> None:
        assert (
            moments.local("2026-04-05T06:07:08", "%-d/%-m/%Y {%-H giờ %-M'} 100%%") == "5/4/2026 {6 giờ 7'} 100%"
        )

    @pytest.mark.parametrize(
        ("form", "zone"), [("%Q", "UTC"), ("%", "UTC"), ("%-Y", "UTC"), ("%d", "Mars"), ("%d", "../x")]
    )
    def test_unknown_formats_and_zones_are_bad(self, form: str, zone: str) -> None:
        with pytest.raises(moments.BadFormat):
            moments.check_local(form, zone)

    def test_plus_keeps_a_date_a_date_and_moves_a_time(self) -> None:
        assert moments.plus("2026-01-31", days=1) == date(2026, 2, 1)
        assert moments.plus("2026-01-31", hours=9) == datetime.fromisoformat("2026-01-31T09:00:00")
        assert moments.plus("2026-01-31T23:00:00Z", minutes=90) == datetime(2026, 2, 1, 0, 30, tzinfo=UTC)
        assert moments.plus("2026-01-31", days=-31) == date(2025, 12, 31)

    @pytest.mark.parametrize("days", [10**9, -(10**9), 0.5, "3", None, True, 2**70])
    def test_plus_refuses_what_leaves_the_calendar(self, days: Any) -> None:
        with pytest.raises(Refusal):
            moments.plus("2026-01-31", days=days)

    def test_days_between_counts_midnights_in_the_zone(self) -> None:
        assert moments.days_between("2026-11-20", "2026-11-23T16:59:00Z") == 3
        assert moments.days_between("2026-11-20", "2026-11-23T17:00:00Z") == 4
        assert moments.days_between("2026-11-24", "2026-11-23T17:00:00Z", "UTC") == -1

    def test_instant_takes_vietnams_zone_where_none_is_said(self) -> None:
        assert moments.instant("2026-11-23") == datetime(2026, 11, 22, 17, tzinfo=UTC)
        assert moments.instant("2026-11-23T08:00") == datetime(2026, 11, 23, 1, tzinfo=UTC)

    @given(st.datetimes(first_of(1974), first_of(2199), timezones=st.just(UTC)))
    def test_seconds_and_milliseconds_are_told_apart(self, moment: datetime) -> None:
        second = moment.replace(microsecond=0)
        assert moments.moment_of(int(second.timestamp())) == second
        assert moments.moment_of(int(second.timestamp()) * 1000) == second

    @given(st.datetimes(first_of(1950), first_of(2150)), st.integers(-1000, 1000))
    def test_plus_and_days_between_undo_each_other(self, moment: datetime, days: int) -> None:
        assert moments.days_between(moment, moments.plus(moment, days=days)) == days
        assert moments.plus(moment, days=days) - moment == timedelta(days=days)


class TestText:
    @given(st.text() | MARKED, st.integers(1, 40), st.sampled_from(["…", "...", ""]))
    def test_shorten_keeps_its_promises(self, text: str, n: int, end: str) -> None:
        try:
            short = transforms.shorten(text, n, end)
            whole = nfc(text)
        except Refusal:
            return
        assert len(short) <= n
        assert short == unicodedata.normalize("NFC", short)
        if len(whole) <= n:
            assert short == whole
        elif n > len(end):
            kept = short.removesuffix(end)
            assert whole.startswith(kept)
            assert graphemes.is_border(whole, len(kept)) or whole[len(kept)].isspace()
            assert kept == kept.rstrip()

    def test_shorten_counts_its_end_and_leaves_no_space_before_it(self) -> None:
        assert transforms.shorten("Nguyễn Văn An", 8) == "Nguyễn…"
        assert transforms.shorten("Nguyễn Văn An", 10, "...") == "Nguyễn..."
        assert transforms.shorten("x" * 1_000_000, 5) == "xxxx…"

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("e\u0301a", ["e\u0301", "a"]),
            ("👩\u200d👩\u200d👧x", ["👩\u200d👩\u200d👧", "x"]),
            ("👍🏽👍", ["👍🏽", "👍"]),
            ("🇻🇳🇯🇵🇻", ["🇻🇳", "🇯🇵", "🇻"]),
            ("❤\ufe0f1\ufe0f\u20e3", ["❤\ufe0f", "1\ufe0f\u20e3"]),
            ("\u1112\u1161\u11ab한글", ["\u1112\u1161\u11ab", "한", "글"]),
            ("a\r\nb", ["a", "\r\n", "b"]),
            ("\n\u0301", ["\n", "\u0301"]),
            ("a\u200db", ["a\u200d", "b"]),
            ("🏴\U000e0067\U000e0062\U000e007f!", ["🏴\U000e0067\U000e0062\U000e007f", "!"]),
        ],
    )
    def test_graphemes_are_what_a_reader_sees_as_one(self, text: str, parts: list[str]) -> None:
        places = [0, *graphemes.borders(text)]
        assert [text[start:end] for start, end in pairwise(places)] == parts

    @given(MARKED, st.integers(0, 8))
    def test_first_and_last_take_whole_graphemes(self, text: str, n: int) -> None:
        assert text.startswith(graphemes.first(text, n))
        assert text.endswith(graphemes.last(text, n))
        assert len(list(graphemes.borders(graphemes.first(text, n)))) <= n
        assert graphemes.first(text, len(text)) == text == graphemes.last(text, len(text))

    def test_words_and_letters(self) -> None:
        assert transforms.title("nguyễn THỊ hoa") == "Nguyễn Thị Hoa"
        assert transforms.capitalize("ĐƠN hàng") == "Đơn hàng"
        assert transforms.upper("đỗ") == "ĐỖ"
        assert transforms.lower("ĐỖ") == "đỗ"
        assert transforms.trim("\u00a0 a b ") == "a b"
        assert transforms.collapse(" a \n\t b ") == "a b"
        assert transforms.replace("a-b-c", "-", "/") == "a/b/c"
        assert transforms.drop("a.b,c", ".,") == "abc"

    @given(st.text())
    def test_unaccent_leaves_no_mark(self, text: str) -> None:
        try:
            bare = transforms.unaccent(text)
        except Refusal:
            return
        assert not any("\u0300" <= each <= "\u036f" for each in unicodedata.normalize("NFD", bare))
        assert "đ" not in bare

    def test_unaccent_reads_vietnamese(self) -> None:
        assert transforms.unaccent("Đặng Thị Hồng Nhung ở Huế") == "Dang Thi Hong Nhung o Hue"

    @given(st.text())
    def test_a_bank_note_holds_nothing_forbidden(self, text: str) -> None:
        try:
            note = transforms.bank_note(text)
        except Refusal:
            return
        assert not set(note) & set(transforms.BANK_NOTE_FORBIDDEN)

    def test_urls(self) -> None:
        assert transforms.urlencode("Á b/c?d") == "%C3%81%20b%2Fc%3Fd"
        assert transforms.urlpath("Á b/c?d") == "%C3%81%20b/c%3Fd"
        assert transforms.strip_origin("https://a.vn/b/c?d=1#e") == "/b/c?d=1#e"
        assert transforms.strip_origin("https://a.vn/b/c?d=1#e", slash=False) == "b/c?d=1#e"
        assert transforms.strip_origin("https://a.vn") == "/"
        assert transforms.strip_origin("b/c") == "/b/c"
        with pytest.raises(Refusal):
            transforms.strip_origin("http://[half")

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (True, "Y"),
            (False, "N"),
            (1, "Y"),
            (0, "N"),
            ("true", "Y"),
            ("FALSE ", "N"),
            ("1", "Y"),
            ("0", "N"),
        ],
    )
    def test_yes_no(self, value: Any, text: str) -> None:
        assert transforms.yes_no(value, "Y", "N") == text

    @pytest.mark.parametrize("value", ["", "yes", 2, 1.0, None, [], {}])
    def test_yes_no_guesses_nothing(self, value: Any) -> None:
        with pytest.raises(Refusal):
            transforms.yes_no(value, "Y", "N")

    def test_a_phone_is_84_and_nine_digits(self) -> None:
        assert transforms.phone("0912 345 678") == "84912345678"
        with pytest.raises(Refusal, match="digits"):
            transforms.phone("12")


class TestLists:
    LINES = ({"qty": 2, "name": "Áo"}, {"qty": 1, "name": "Quần"}, {"qty": 3, "name": "Mũ"})

    def test_join_writes_items_by_a_pattern(self) -> None:
        lines = list(self.LINES)
        assert transforms.join(lines, " | ", item="{qty} x {name}") == "2 x Áo | 1 x Quần | 3 x Mũ"
        assert transforms.join(lines, ", ", item="{name}", first=2, more=" +{n} món") == "Áo, Quần +1 món"
        assert transforms.join(lines, ", ", item="{name}", first=3, more=" +{n}") == "Áo, Quần, Mũ"
        assert transforms.join(["a", 1, 2.5], "-") == "a-1-2.5"
        assert transforms.join([], ", ") == ""
        assert transforms.join([{"a": {"b": 1}}], item="{a.b}{{") == "1{{"

    def test_join_says_which_item_lacks_what(self) -> None:
        with pytest.raises(Absent) as refused:
            transforms.join([*self.LINES, {}], item="{name}")
        assert refused.value.steps == (3, "name")
        with pytest.raises(Refusal) as refused_null:
            transforms.join(["a", None])
        assert refused_null.value.steps == (1,)

    def test_join_never_grows_without_bound(self) -> None:
        with pytest.raises(Refusal, match="longer"):
            transforms.join(["x" * 10] * (MAX_TEXT // 10), ", ")
        with pytest.raises(Refusal, match="items"):
            transforms.join([""] * (MAX_ITEMS + 1))
        assert transforms.join(["x"] * 10**6, first=2, more="+{n}") == "xx+999998"

    def test_first_last_and_length(self) -> None:
        assert transforms.first([1, 2, 3]) == 1
        assert transforms.first([1, 2, 3], 2) == [1, 2]
        assert transforms.last([1, 2, 3], 2) == [2, 3]
        assert transforms.last([1, 2, 3], 0) == []
        assert transforms.last("abcdef", 2) == "ef"
        assert transforms.length([1, 2]) == 2
        assert transforms.length("e\u0301") == 1
        with pytest.raises(Absent):
            transforms.first([])


PLAIN = {
    name: each.apply for name, each in transforms.FILTERS.items() if name not in ("default", "or_else", "label")
}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "shorten": (5,),
    "local": ("%d %y %p %j",),
    "days_between": ("2026-11-23",),
    "drop": ("a.",),
    "replace": ("a", "bb"),
    "yes_no": ("Y", "N"),
}


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_every_filter_returns_or_refuses_whatever_it_is_given(name: str) -> None:
    @given(ANY)
    def total(value: Any) -> None:
        assert refusal_of(PLAIN[name], value, *ARGUMENTS.get(name, ())) != ""

    total()


@given(ANY, ANY)
def test_the_arguments_that_may_come_from_an_event_are_refused_as_well(value: Any, other: Any) -> None:
    for apply in (moments.plus, moments.days_between):
        assert refusal_of(apply, value, other) != ""


def test_a_long_run_of_marks_is_refused_before_it_is_sorted() -> None:
    with pytest.raises(Refusal, match="combining marks"):
        nfc("a" + "\u0323\u0301" * 5000)
