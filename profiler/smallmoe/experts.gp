# The heat map of expert use:  gnuplot -e "use='FILE'" experts.gp  (FILE from evaluate.py --use)
set terminal pngcairo size 860,720 font "sans,11" enhanced
set output "experts.png"
set palette defined (-2 "#2b4a8b", -1 "#8fb0d8", 0 "#f7f7f7", 1 "#f0a068", 2 "#a3201d")
set cbrange [-2:2]
set cbtics ("1/4" -2, "1/2" -1, "1" 0, "2" 1, "4" 2)
set xrange [-0.5:31.5]
set yrange [6.5:-0.5]
set xtics (0, 8, 16, 24, 31) scale 0.3 font ",9" offset 0,0.4
set ytics scale 0
unset key
unset colorbox
log2(x) = log(x > 0.0625 ? x : 0.0625) / log(2)
set multiplot
set label 1 "Use of each expert by domain, over the mean of the layer" at screen 0.5,0.97 center
do for [layer = 0:7] {
    column = layer % 2
    row = layer / 2
    left = 0.10 + column * 0.45
    top = 0.915 - row * 0.215
    set lmargin at screen left
    set rmargin at screen left + 0.37 + 0.04
    set tmargin at screen top
    set bmargin at screen top - 0.155
    set title sprintf("layer %d", layer) offset 0,-0.8 font ",10"
    if (column == 0) {
        set ytics ("English" 0, "docs" 1, "Python" 2, "C" 3, "French" 4, "German" 5, "Spanish" 6) font ",9"
    } else {
        set ytics ("" 0)
    }
    plot use index layer using 1:2:(log2($3)) with image pixels
    unset label 1
}
set lmargin at screen 0.3
set rmargin at screen 0.7
set tmargin at screen 0.055
set bmargin at screen 0.035
unset title
set yrange [0:1]
unset ytics
set xrange [-2:2]
set xtics ("1/4" -2, "1/2" -1, "1" 0, "2" 1, "4 times the mean" 2)
set samples 100
set isosamples 2, 2
set urange [-2:2]
set vrange [0:1]
plot "++" using 1:2:1 with image pixels
unset multiplot
