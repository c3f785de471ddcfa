"""FFmpeg with a picture that says which frame it is: 16 blocks, black or white, the lowest bit first,
and below them the complement, so that a damaged picture does not pass for another number."""

from millrace import Encoder

BITS = 16
BLOCK = 16  # pixels; page.js reads the same


class Coded(Encoder):
    """group_s: seconds between key frames, exactly. first: number of the first frame, which tells one
    encoder from another."""

    def __init__(self, logs, legs, group_s=10, first=0, size="640x360", bits="1500k", **more):
        self.first = first
        super().__init__(logs, legs, size=size, bits=bits, **more)
        at = self.command.index("-g") + 1 if "-g" in self.command else None
        if at:
            self.command[at:at + 1] = [str(round(group_s * self.rate)), "-sc_threshold", "0"]

    def _picture(self, size):
        bit = rf"mod(floor((N+{self.first})/pow(2\,X))\,2)"
        code = (f"color=black:size={BITS}x2:rate={self.rate},format=gray,"
                f"geq=lum='255*if(Y\\,1-{bit}\\,{bit})',"
                f"scale={BITS * BLOCK}:{2 * BLOCK}:flags=neighbor")
        return f"testsrc2=size={size}:rate={self.rate}[back];{code}[code];[back][code]overlay=0:0"
