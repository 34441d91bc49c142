"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A loaded machine is slow, not wrong: no test of ours is about time.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")
