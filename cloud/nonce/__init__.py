"""The operator's API: requests in Nonce's spellings in, items in Nonce's spellings out."""
