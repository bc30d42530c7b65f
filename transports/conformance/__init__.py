"""What every transport must do, as coroutines: a transport that passes CHECKS can be used by repod and ogcast.

No test framework is needed: `await check(rig)` raises AssertionError with a text. Sockets, where the transport has
some, are real. CAPTURE_CHECKS are for transports with `capabilities.captures`.
"""

from transports.conformance.captures import CAPTURE_CHECKS
from transports.conformance.fetching import CHECKS
from transports.conformance.scene import Check, Rig

__all__ = ["CAPTURE_CHECKS", "CHECKS", "Check", "Rig"]
