"""What each command's help ends with: lines that can be pasted and work."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "zns-gateway demo                     # see it work, nothing to prepare",
        "zns-gateway serve --simulator        # try it yourself",
        "zns-gateway check                    # before you deploy",
        "zns-gateway --config config/gateway.toml token status",
    ),
    "serve": (
        "zns-gateway serve --simulator        # no Zalo account, no variables needed",
        "zns-gateway --config config/gateway.toml serve",
    ),
    "simulator": (
        "zns-gateway simulator",
        "zns-gateway simulator --port 0 --realistic",
    ),
    "demo": (
        "zns-gateway demo",
        "zns-gateway demo --json > demo.json",
    ),
    "check": (
        "zns-gateway check",
        "zns-gateway check --json | grep file",
    ),
    "preview": (
        "zns-gateway preview config/samples/order.paid/plain.json",
        "zns-gateway preview --reveal - < config/samples/auth.otp/plain.json",
        "zns-gateway preview config/samples/order.paid/plain.json --caller checkout",
    ),
    "key": ("zns-gateway key new checkout",),
    "key new": (
        "zns-gateway key new checkout",
        "zns-gateway key new team.checkout --json",
    ),
    "token": (
        "zns-gateway token status",
        "zns-gateway token login main",
        "zns-gateway token import main < grant.json",
    ),
    "token import": (
        "zns-gateway token import main < grant.json",
        "zns-gateway token import main --replace < grant.json",
    ),
    "token login": (
        "zns-gateway token login main         # prints a link, waits until somebody has agreed there",
        "zns-gateway token login main --replace --json",
        "zns-gateway token login main --redirect-uri https://zns.example.com/zalo --paste",
    ),
    "token rekey": (
        "zns-gateway token rekey              # after a new key was put first in secrets.keys",
        "zns-gateway token rekey --json",
    ),
    "token status": (
        "zns-gateway token status",
        "zns-gateway token status --json",
    ),
    "templates": (
        "zns-gateway templates diff           # what a pull would change, and what it would break",
        "zns-gateway templates pull",
    ),
    "templates pull": (
        "zns-gateway templates pull",
        "zns-gateway templates pull 310001 310002",
        "zns-gateway templates pull 310001 --account main",
    ),
    "templates diff": (
        "zns-gateway templates diff",
        "zns-gateway templates diff 310001",
        "zns-gateway templates diff --json > changes.json",
    ),
    "messages": (
        "zns-gateway messages list --status failed",
        "zns-gateway messages show 0c9m3k8q2v7x1n5t4r6w8y0z2b",
        "zns-gateway messages resend --status failed --type order.paid --dry-run",
    ),
    "messages cancel": (
        "zns-gateway messages cancel 0c9m3k8q2v7x1n5t4r6w8y0z2b --note 'the order was called off'",
        "zns-gateway messages cancel --type order.paid --dry-run      # how many are queued",
        "zns-gateway messages cancel --type order.paid --expect 120   # only if it is still so many",
    ),
    "messages resend": (
        "zns-gateway messages resend 0c9m3k8q2v7x1n5t4r6w8y0z2b",
        "zns-gateway messages resend --status failed --since 2026-11-23T08:00:00Z --dry-run",
        "zns-gateway messages resend --status failed --since 2026-11-23T08:00:00Z --note 'template corrected'",
    ),
    "messages settle": (
        "zns-gateway messages settle 0c9m3k8q2v7x1n5t4r6w8y0z2b delivered --note 'the customer has it'",
        "zns-gateway messages settle 0c9m3k8q2v7x1n5t4r6w8y0z2b failed --json",
    ),
    "messages list": (
        "zns-gateway messages list",
        "zns-gateway messages list --status failed --since 2026-11-23T08:00:00Z",
        "zns-gateway messages list --phone 0912345678 --json",
    ),
    "messages show": (
        "zns-gateway messages show 0c9m3k8q2v7x1n5t4r6w8y0z2b",
        "zns-gateway messages show 0c9m3k8q2v7x1n5t4r6w8y0z2b --json",
    ),
    "openapi": (
        "zns-gateway openapi | head",
        "zns-gateway openapi --output openapi/gateway.yaml",
    ),
    "completion": (
        "zns-gateway completion bash > ~/.local/share/bash-completion/completions/zns-gateway",
        "zns-gateway completion zsh",
        "zns-gateway completion fish > ~/.config/fish/completions/zns-gateway.fish",
    ),
}


def epilog(path: str) -> str | None:
    """The examples of the command that this path of names leads to, as click prints them unwrapped."""
    lines = EXAMPLES.get(path)
    return None if lines is None else "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
