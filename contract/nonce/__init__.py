"""The operator's API in Nonce's spellings: for each subject what is asked and what is answered, in one file.

Requests are pydantic models (they guard a border), answers are msgspec Structs (they leave by the thousand).
"""
