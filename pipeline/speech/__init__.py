"""What a mouth does for a given sound: phones, closures and curves of opening, width and jaw.

Time grid: 100 steps a second; step k stands for the instant k / 100 s (sample 160 k at 16 kHz).
"""
