import CSQLite
import CLibPQ
import Pipeline
import NIOHTTP2

struct Unused { let long = long }
