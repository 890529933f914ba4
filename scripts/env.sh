# Sourced by the scripts that build and test: tools from the cache, and one computing thread a process (see the Makefile).

export PATH=${GALAPAGOS_CACHE:-$HOME/.cache/galapagos}/bin:$PATH
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
