# Draws the curves of test accuracy, one panel for each optimizer:
#   gnuplot ../common/plot_style.gp -c plot.gp CURVES.csv PICTURE.svg "title" "sgd adamw"
# A faint line for each seed, a strong one for their mean.

csv = ARG1
optimizers = ARG4
panels = words(optimizers)
keys = "last ema swa power"

# Rows of the other panel and empty cells are not there, rather than gaps between which each stretch has its own mean.
set datafile missing NaN

set terminal svg size 460 * panels + 40,460 enhanced font "Helvetica,Arial,sans-serif,16" background "white" rounded
set output ARG2
set xlabel "epoch" textcolor rgb text offset 0,0.5
set tmargin 2.4
set bmargin 5

percent(key) = 100 * column(key . "_test_accuracy")
panel(optimizer) = optimizer eq "sgd" ? "SGD with momentum" : "AdamW"

# One axis for all panels, fitted to where the last iterate mostly is: the start would flatten all that follows.
stats csv using "seed" name "seed" nooutput
stats csv using (percent("last")) name "last" nooutput
bottom = last_lo_quartile - 1.5 * (last_up_quartile - last_lo_quartile)
bottom = bottom < last_min ? last_min : bottom
top = last_max
do for [key in keys] {
  stats csv using (percent(key)) name "curve" nooutput
  top = curve_max > top ? curve_max : top
}
if (top <= bottom) { bottom = top - 1 }
set xrange [0:*]
set yrange [bottom : top + 0.08 * (top - bottom)]

set multiplot layout 1, panels title ARG3 noenhanced textcolor rgb text font ",15"
do for [i = 1 : panels] {
  optimizer = word(optimizers, i)
  set title panel(optimizer) textcolor rgb text font ",15" offset 0,-0.5
  set ylabel (i == 1 ? "test accuracy, %" : "") textcolor rgb text offset 1.2,0
  mine(key) = stringcolumn("optimizer") eq optimizer ? percent(key) : NaN
  plot for [key in keys] for [seed = int(seed_min) : int(seed_max)] \
         csv using "epoch":(column("seed") == seed ? mine(key) : NaN) \
         with lines linewidth 1 linecolor rgb faint(key) notitle, \
       for [key in keys] \
         csv using "epoch":(mine(key)) smooth unique with lines linewidth width(key) linecolor rgb color(key) \
         title name(key)
}
unset multiplot
