# Lists what is under each place of a claim, for checks/files.py: `sh -c "$(cat list_model.sh)" list-model ROOT PLACE...`
# It writes one word and its value a line into the container's termination message, at most 4 KiB in all.
root=$1
shift
command -v find >/dev/null && command -v ls >/dev/null || {
  echo "no find and ls in the image" >&2
  exit 1
}
count() {
  files=0 bytes=0
  while read -r _ _ _ _ size _; do
    files=$((files + 1)) bytes=$((bytes + size))
  done
  echo "files $files"
  echo "bytes $bytes"
}
few() { head -n 6 | tr '\n' ' ' | cut -c 1-200; }
for place in "$@"; do
  echo "place $place"
  here=$root/$place
  if [ ! -d "$here" ]; then
    up=$place
    while [ "$up" != . ] && [ ! -d "$root/$up" ]; do up=$(dirname "$up"); done
    if [ -x "$root/$up" ]; then echo "absent yes"; else echo "closed $up"; fi
    echo "beside $(ls "$root/$up" 2>/dev/null | few)"
    continue
  fi
  if ! cd "$here" 2>/dev/null || ! ls >/dev/null 2>&1; then
    echo "closed $place"
    continue
  fi
  find -L . -type f -exec ls -lnL {} + 2>/dev/null | count
  [ -f config.json ] && echo "config yes"
  whole=$(find -L . -maxdepth 1 -type f \( -name '*.gguf' -o -name '*.onnx' -o -name '*.engine' \) 2>/dev/null | head -n 1)
  [ -n "$whole" ] && echo "whole $whole"
  closed=$(find -L . -type f -exec sh -c 'for f; do [ -r "$f" ] || echo "$f"; done' sh {} + 2>/dev/null | head -n 1)
  [ -n "$closed" ] && echo "closed $place/${closed#./}"
  {
    find -L . \( -type l -o -name '*.incomplete' \) 2>/dev/null
    for index in *.safetensors.index.json; do
      [ -r "$index" ] || continue
      tr ',' '\n' <"$index" | sed -n 's/.*: *"\([^"]*\.safetensors\)".*/\1/p' | sort -u |
        while read -r part; do [ -f "$part" ] || echo "$part"; done
    done
  } | sort -u | head -n 3 | while read -r part; do echo "missing ${part#./}"; done
  echo "beside $(ls 2>/dev/null | few)"
done >/dev/termination-log
