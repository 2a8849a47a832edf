"""The cloud's memory, the only place that speaks SQL: the schema, then who may ask (`access`), `tasks` and `miners`."""
