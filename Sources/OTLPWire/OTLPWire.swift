// OTLPWire
