"""The cloud's memory. The only place that speaks SQL."""
