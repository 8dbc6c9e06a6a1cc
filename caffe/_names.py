"""Names of what is made."""


def take_name(wanted: str, taken: set[str]) -> str:
    """A name like the one that is wanted, which is not taken yet, but is from now on."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name
