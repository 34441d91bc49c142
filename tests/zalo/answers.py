"""What Zalo says when all is well."""

import json

from tests.transport.fault_server import answer

DATA = {
    "msg_id": "a4d0243feee163bd3af2",
    "sent_time": "1626926349402",
    "quota": {"dailyQuota": "500", "remainingQuota": "499"},
}
OK = answer(json.dumps({"error": 0, "message": "Success", "data": DATA}).encode())
