# Runs the user data of a client instance of the lab, once, before its first command, in the instance's sandbox.
#
#   sh user-data.sh DIR TOOLS KAFKA_VERSION
#
# DIR has the user data (script), stand-ins for programs that need packages or the internet (bin), and the lab's kgen (kgen). It
# gets what was printed (log), what a stand-in gave or left out (notes, a line each) and the exit code (code). TOOLS are the lab's
# Kafka tools, of KAFKA_VERSION.
KGEN_LAB_DIR=$1 KGEN_LAB_TOOLS=$2 KGEN_LAB_KAFKA=$3
export KGEN_LAB_DIR KGEN_LAB_TOOLS KGEN_LAB_KAFKA

# Whoever comes second waits for the end, and then goes on.
exec 9>"$KGEN_LAB_DIR/lock"
flock --timeout 150 9
[ ! -e "$KGEN_LAB_DIR/code" ] || exit 0

: >"$KGEN_LAB_DIR/notes"
PATH="$KGEN_LAB_DIR/bin:$PATH" timeout --kill-after=5 120 \
  bash "$KGEN_LAB_DIR/script" >"$KGEN_LAB_DIR/log" 2>&1 </dev/null 9>&-
echo $? >"$KGEN_LAB_DIR/code.new"
mv "$KGEN_LAB_DIR/code.new" "$KGEN_LAB_DIR/code"
