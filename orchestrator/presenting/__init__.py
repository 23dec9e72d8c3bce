"""How things are shown to those who ask, whatever they ask through: rows of Postgres become values of JSON."""
