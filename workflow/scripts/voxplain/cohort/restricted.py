"""Fields that must never be published, by name, wherever they stand."""

# The HCP's restricted table (other than behaviour), and what else singles people or families out; without case.
RESTRICTED = frozenset(
    name.casefold()
    for name in (
        *("Age_in_Yrs", "Family_ID", "Mother_ID", "Father_ID", "TestRetestInterval", "ZygositySR", "ZygosityGT"),
        *("Race", "Ethnicity", "Handedness", "Height", "Weight", "BMI", "family", "birth_date", "date_of_birth"),
    )
)


def is_restricted_field(name: str) -> bool:
    """Tell whether a column must stay private whatever table it stands in."""
    return name.casefold() in RESTRICTED
