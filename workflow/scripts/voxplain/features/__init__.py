"""What the layers of a network hold: statistics of their features, person by person, and how groups differ in them."""
