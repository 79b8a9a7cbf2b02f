// OTLPReceiver
