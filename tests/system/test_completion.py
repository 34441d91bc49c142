"""A shell completes commands, options and names with the script that we print, and is never spoken to."""

import shlex
import shutil
from pathlib import Path

import pytest

from tests.system.commands import run, said, shell

pytestmark = pytest.mark.system


def completed(line: str, bin_folder: Path) -> list[str]:
    """What bash completes at the end of the line, with the script that we print."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    script = f"""
        eval "$(zns-gateway completion bash)"
        complete -p zns-gateway > {bin_folder}/registered || exit 9
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        compopt() {{ COMPREPLY=(FILES); }}  # which only works while bash itself asks
        _zns_gateway_completion zns-gateway
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = shell(script, bin_folder, program="bash")
    assert (done.returncode, done.stderr) == (0, b""), "completion is silent"
    return done.stdout.decode().split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("zns-gateway me", ["messages"]),
        ("zns-gateway token i", ["import"]),
        ("zns-gateway token import ", ["main"]),
        ("zns-gateway --config config/gateway.toml token import m", ["main"]),
        ("zns-gateway messages list --status un", ["unknown", "undelivered"]),
        ("zns-gateway messages list --type order", ["order.paid"]),
        ("zns-gateway messages list --caller ", ["checkout", "accounts", "platform"]),
        ("zns-gateway preview --caller ch", ["checkout"]),
        ("zns-gateway preview config/samples/auth.otp/pl", ["config/samples/auth.otp/plain.json"]),
        ("zns-gateway preview ev", ["FILES"]),
        ("zns-gateway --config ", ["FILES"]),
        ("zns-gateway check --js", ["--json"]),
        ("zns-gateway completion f", ["fish"]),
        ("zns-gateway --config README.md token import ", []),
        ("zns-gateway --config nowhere.toml preview --caller ", []),
        ("zns-gateway --config config messages list --caller ", []),
    ],
)
def test_bash_completes_with_our_script(line: str, expected: list[str], tmp_path: Path) -> None:
    assert sorted(completed(line, tmp_path)) == sorted(expected)


@pytest.mark.parametrize(
    ("shell_path", "word"),
    [("/bin/bash", "complete -o"), ("/usr/bin/zsh", "#compdef"), ("/usr/bin/fish", "complete ")],
)
def test_the_shell_is_guessed(shell_path: str, word: str) -> None:
    told = said(run("completion", environment={"SHELL": shell_path}), 0, word, "zns-gateway")
    assert told == said(run("completion", Path(shell_path).name), 0)
    said(run("completion", environment={"SHELL": "/bin/tcsh"}), 2, "tcsh", "zns-gateway completion bash")
