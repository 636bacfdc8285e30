"""Labels of what is made: seen in the picture, told in the container, signed as a C2PA manifest.

visible      a text in a corner of every frame, where the request asks for one
words        AIGC (GB 45438-2025), IPTC digital source type and a comment, in the container
credentials  a signed C2PA manifest: engine, inputs' hashes, consent, job
watermark    a digest of the job id in the picture's chroma, through invisible-watermark
payload      what that says: digest, check bits and their code
lattice      where its blocks lie
samples      what the blocks of a file say
seeking      where they lie after scaling and cropping, and which job they name
certificate  the identity that signs: a given one, or a development one made here
choosing     which of them the settings want
applying     which of them a render gets
reading      all of them read back from a file
"""
