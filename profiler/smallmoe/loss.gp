# The loss curve, from the logs of the training:  gnuplot loss.gp
set terminal pngcairo size 640,400 font "sans,11" enhanced
set output "loss.png"
set datafile separator ","
set xlabel "million tokens"
set ylabel "loss, nats per token"
set yrange [2:7]
set key top right
set grid back lc rgb "#dddddd"
plot "loss.csv" skip 1 using ($3/1e6):5 with lines lw 1 lc rgb "#999999" title "training", \
     "held.csv" skip 1 using ($3/1e6):(($4+$5+$6+$7+$8+$9+$10)/7) with linespoints pt 7 ps 0.6 lw 2 \
     lc rgb "#1f5fa8" title "held out, mean of the domains"
