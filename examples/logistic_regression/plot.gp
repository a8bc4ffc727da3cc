# Draws the curves of test loss: gnuplot ../common/plot_style.gp -c plot.gp CURVES.csv PICTURE.svg "title" "last tail ema swa"
# A faint line for each seed, a strong one for their mean.

csv = ARG1
keys = ARG4
set terminal svg size 840,460 enhanced font "Helvetica,Arial,sans-serif,16" background "white" rounded
set output ARG2
set title ARG3 noenhanced textcolor rgb text font ",15" offset 0,-0.5
set xlabel "epoch" textcolor rgb text offset 0,0.5
set ylabel "test loss" textcolor rgb text offset 1.2,0
set tmargin 2.4
set lmargin 8
set rmargin 3

loss(key) = key . "_test_loss"
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
