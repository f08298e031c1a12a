// A Redis in memory for the rate limit service of the tests: prints where it listens, and ends with who started it.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	parent := os.Getppid()
	redis, err := miniredis.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening", redis.Addr())
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
}
