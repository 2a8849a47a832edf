"""Commands that work in the data folder on the cloud's own host: certificates, and the repository of releases."""
