# What `moesim probe --help` teaches.
"$moesim" probe --help
