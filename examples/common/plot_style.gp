# What the pictures of the examples have in common: colours, frame, and how each of the weights is drawn.

set datafile separator comma
set datafile missing ""

text = "#4a5560"
set border 3 linecolor rgb "#b8c0c8"
set tics nomirror out scale 0.5 textcolor rgb text
set xtics format "%g"
set grid ytics linetype 1 linecolor rgb "#e6eaee"
set key bmargin center horizontal reverse Left samplen 1.6 width -1 textcolor rgb text

name(key) = key eq "last" ? "last iterate" : key eq "tail" ? "tail average" : key eq "ema" ? "EMA" : \
            key eq "power" ? "power EMA" : "SWA"
color(key) = key eq "last" ? "#8b97a3" : key eq "tail" ? "#0b5fa5" : key eq "ema" ? "#f2a03d" : \
             key eq "power" ? "#0b5fa5" : "#2a9d6f"
faint(key) = "#c4" . substr(color(key), 2, 7)
# Averages that agree lie on top of each other, so the later is drawn thinner.
width(key) = key eq "last" ? 1.6 : key eq "ema" ? 4.5 : key eq "swa" ? 2.8 : 1.8
