module modelward.dev/pause

go 1.24
