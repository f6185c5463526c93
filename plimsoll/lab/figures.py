"""Numbers as people read them. Rounded for the eye only: the books compare the integers."""

from plimsoll.lab.record import Check, Compartment, Portrait

WAD = 10**18
_MINUS = "\u2212"


def dollars(value: int, places: int = 0) -> str:
    """Dollars with 18 decimals, rounded to the nearest."""
    scale = 10 ** (18 - places)
    whole = (abs(value) + scale // 2) // scale
    sign = _MINUS if value < 0 and whole else ""
    if places == 0:
        return f"{sign}${whole:,}"
    return f"{sign}${whole // 10**places:,}.{whole % 10**places:0{places}}"


def units(value: int, places: int = 4) -> str:
    """Units of an underlying with 18 decimals, rounded to the nearest."""
    scale = 10 ** (18 - places)
    whole = (abs(value) + scale // 2) // scale
    sign = _MINUS if value < 0 and whole else ""
    return f"{sign}{whole // 10**places:,}.{whole % 10**places:0{places}}"


def exact(value: int) -> str:
    """Dollars with 18 decimals, to the last one."""
    sign = _MINUS if value < 0 else ""
    return f"{sign}${abs(value) // WAD:,}.{abs(value) % WAD:018d}"


def percent(value: int) -> str:
    """A fraction with 18 decimals."""
    return f"{value * 10_000 // WAD / 100:.2f} %"


def bps(value: int) -> str:
    """A fraction with 18 decimals."""
    return f"{value * 1_000_000 // WAD / 100:.2f} bps"


def ratio(value: int) -> str:
    """A ratio with 18 decimals, in whole percent."""
    return f"{value * 100 // WAD} %"


def depth(bps: int) -> str:
    return f"{bps / 100:.1f} %"


def outcome(portrait: Portrait) -> str:
    """What became of a trader, in a few words."""
    return ", ".join(fates(portrait))


def fates(portrait: Portrait) -> list[str]:
    """The same, a text for each compartment that was hit."""
    alone = len(portrait.compartments) == 1
    hit = [each for each in portrait.compartments if each.slices or each.losses]
    if not hit:
        return ["untouched"]
    return [fate(each) if alone else f"{each.name}: {fate(each)}" for each in hit]


def fate(compartment: Compartment) -> str:
    if not compartment.slices:
        return "written off" if compartment.losses else "untouched"
    share = "all" if compartment.taken == WAD else ratio(compartment.taken)
    owed = ", left bad debt" if any(loss.total for loss in compartment.losses) else ""
    return f"{share} liquidated{owed}"


def verdict(check: Check) -> str:
    difference = check.left - check.right
    if not check.holds:
        return f"BROKEN by {difference}"
    return "exact" if difference == 0 else f"holds, {difference} wei in favour of the vault"
