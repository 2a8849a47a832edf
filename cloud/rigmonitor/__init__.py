"""The Mining Rig Monitor API, server side: what machines report to, and what operators wish of them."""
