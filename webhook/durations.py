"""Lengths of time as people say them: 0.1, 1.4 and 31 seconds, 10 minutes, 3 hours. Pure."""

from tasks.messages import Message


def seconds(value: float) -> str:
    """Seconds in digits, no finer than a tenth: 0.1, 1.4, 31. What took less than a tenth took up to one."""
    if value <= 0:
        return "0"
    return f"{max(value, 0.1):.1f}" if value < 9.95 else f"{value:.0f}"


def duration(value: float) -> Message:
    """Seconds in the unit in which they are a small number: 42 s, 10 min, 3 h, 2 days."""
    if value < 89.5:
        return Message.of("%(n)s s", n=seconds(value))
    if value < 89.5 * 60:
        return Message.of("%(n)s min", n=f"{value / 60:.0f}")
    if value < 47.5 * 3600:
        return Message.of("%(n)s h", n=f"{value / 3600:.0f}")
    return Message.of("%(n)s days", n=f"{value / 86400:.0f}")
