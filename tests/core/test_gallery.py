"""Every mapping seen in the wild is expressible, and does what its samples say."""

from pathlib import Path

from gateway.core.mapping import check_samples, compile_mappings

GALLERY = Path(__file__).parents[2] / "docs/gallery"
ROWS = 20


def read(pattern: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(GALLERY.glob(pattern))}


def test_every_row_is_a_mapping_that_keeps_to_its_samples() -> None:
    mappings = read("mappings/*.toml")
    known = compile_mappings(mappings, templates=read("templates/*.json"), accounts=["main"])
    assert check_samples(known, read("samples/*/*.json")) == []
    rows = sorted(int(raw.split(b":")[0].removeprefix(b"# Row ")) for raw in mappings.values())
    assert rows == list(range(1, ROWS + 1))
