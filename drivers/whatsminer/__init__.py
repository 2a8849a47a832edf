"""How MicroBT's WhatsMiners are spoken to, in every dialect their firmwares have had."""
