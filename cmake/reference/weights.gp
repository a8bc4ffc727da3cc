# Which weight each iterate has in the average `name`, from name.tsv into name.svg: gnuplot -e "name = 'Ema'" weights.gp

set terminal svg size 640,240 font "sans-serif,12" background rgb "white"
set output name . ".svg"
set datafile separator tab
set border 3 linecolor rgb "#b8c0c8"
set tics nomirror out scale 0.5 textcolor rgb "#4a5560"
set key top left vertical reverse Left textcolor rgb "#4a5560" noenhanced
set xlabel "iterate" textcolor rgb "#4a5560"
set ylabel "weight" textcolor rgb "#4a5560"
set xrange [0:101]
set yrange [0:]
stats name . ".tsv" every ::1 using 0 nooutput
plot for [setting = 2:STATS_columns] name . ".tsv" using 1:setting with histeps linewidth 2 title columnheader(setting)
