# Draws the curves of test loss: gnuplot -c plot.gp CURVES.csv PICTURE.svg "title" "last tail ema swa"
# A faint line for each seed, a strong one for their mean.

csv = ARG1
keys = ARG4
set datafile separator comma
set datafile missing ""

text = "#4a5560"
set terminal svg size 840,460 enhanced font "Helvetica,Arial,sans-serif,16" background "white" rounded
set output ARG2
set title ARG3 noenhanced textcolor rgb text font ",15" offset 0,-0.5
set xlabel "epoch" textcolor rgb text offset 0,0.5
set ylabel "test loss" textcolor rgb text offset 1.2,0
set tmargin 2.4
set lmargin 8
set rmargin 3
set border 3 linecolor rgb "#b8c0c8"
set tics nomirror out scale 0.5 textcolor rgb text
set xtics format "%g"
set grid ytics linetype 1 linecolor rgb "#e6eaee"
set key bmargin center horizontal reverse Left samplen 1.6 width -1 textcolor rgb text

loss(key) = key . "_test_loss"
name(key) = key eq "last" ? "last iterate" : key eq "tail" ? "tail average" : key eq "ema" ? "EMA" : "SWA"
color(key) = key eq "last" ? "#8b97a3" : key eq "tail" ? "#0b5fa5" : key eq "ema" ? "#f2a03d" : "#2a9d6f"
faint(key) = "#c4" . substr(color(key), 2, 7)
# Averages that agree lie on top of each other, so the later is drawn thinner.
width(key) = key eq "last" ? 1.6 : key eq "tail" ? 1.8 : key eq "ema" ? 4.5 : 2.8
drawn = ""
do for [key in "last ema swa tail"] { if (strstrt(keys, key)) { drawn = drawn . " " . key } }

# The axis is fitted to where the last iterate mostly is: its spikes and the start would flatten all that follows.
stats csv using "seed" name "seed" nooutput
stats csv using "last_test_loss" name "last" nooutput
top = last_up_quartile + 1.5 * (last_up_quartile - last_lo_quartile)
bottom = last_min
do for [key in keys] {
  stats csv using loss(key) name "curve" nooutput
  bottom = curve_min < bottom ? curve_min : bottom
}
if (top <= bottom) { top = bottom + 1 }
set xrange [0:*]
set yrange [bottom - 0.08 * (top - bottom) : top]

plot for [key in drawn] for [seed = int(seed_min) : int(seed_max)] \
       csv using "epoch":(column("seed") == seed ? column(loss(key)) : NaN) \
       with lines linewidth 1 linecolor rgb faint(key) notitle, \
     for [key in drawn] \
       csv using "epoch":loss(key) smooth unique with lines linewidth width(key) linecolor rgb color(key) title name(key)
