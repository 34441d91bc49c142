"""Zalo's numbers, and the text that goes with each.

The texts that are known word for word from Zalo are marked; the rest are translated meanings, so branch on
the number. Source: `zalo-api` facts, sections 2.1 and 3.1.
"""

from typing import Final

import msgspec

MESSAGES: Final[dict[int, str]] = {
    0: "Success",  # word for word
    -100: "Unknown error, please try again later",
    -101: "Application invalid",
    -102: "Application does not exist",
    -103: "Application is not activated",
    -104: "App secret key invalid",
    -105: "Application is not linked to any OA",
    -106: "Method unsupported",
    -107: "Message id invalid",
    -108: "Phone number invalid",  # word for word
    -109: "Template id invalid",
    -110: "Zalo version unsupported",  # word for word
    -111: "Template data is empty",
    -112: "Template data invalid",  # word for word
    -1121: "template data is break max length",
    -1122: "template data is missing",
    -1123: "QR code cannot be produced",
    -1124: "template data has wrong format",
    -113: "Button invalid",
    -1131: "Button content invalid",
    -114: "User cannot receive this message",
    -115: "ZBS account balance is insufficient",
    -116: "Text invalid",
    -117: "OA or application may not use this template",
    -118: "Zalo account not existed",  # word for word
    -119: "Account cannot receive this message",
    -120: "OA does not have permission to use this feature",  # word for word
    -121: "Body data is empty",
    -122: "Body data is not JSON",
    -123: "RSA decode failed",
    -124: "Access token invalid",  # word for word
    -1241: "appsecret_proof invalid",
    -125: "Official Account id invalid",
    -126: "Development wallet is empty",
    -127: "Test message may only be sent to admins",
    -128: "Encoding key does not exist",
    -129: "RSA key cannot be generated, please try again later",
    -130: "Content is too long",
    -131: "Template is not approved",
    -132: "Parameter invalid",
    -133: "This template may not be sent from 22h to 6h",
    -135: "OA may not send ZNS",
    -1351: "OA is blocked for violation",
    -136: "A ZBS account must be linked",
    -137: "Charging the ZBS account failed",
    -138: "Application has no permission to use this feature",
    -1381: "OA has not let the extension use its ZBS account",
    -139: "User refuses this kind of message",
    -140: "User is not eligible for this kind of message",
    -141: "User refuses messages from this OA",
    -144: "ZNS daily quota exceeded",  # word for word
    -1441: "Monthly promotion quota exceeded",
    -145: "OA may not send this kind of content",
    -146: "Template is disabled for low quality",
    -147: "Template daily quota exceeded",
    -1471: "Monthly follow-up limit of this user exceeded",
    -1472: "Daily promotion limit of this user exceeded",
    -153: "Data violates the rules",
    -161: "sending_mode not allowed",
    -162: "sending_mode 3 is not for this tag",
}


class Refusal(msgspec.Struct, frozen=True):
    """Zalo does not do what was asked, and says a number."""

    error: int
    message: str = ""

    @property
    def text(self) -> str:
        """What stands in `message`: its own text, or else the one of its number."""
        return self.message or MESSAGES.get(self.error, "Error")
