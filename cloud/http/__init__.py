"""What every API of the cloud shares over HTTP: who listens, who calls, bodies, errors."""
