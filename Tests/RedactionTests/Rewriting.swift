import OTLPWire
import Redaction
