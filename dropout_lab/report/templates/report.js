"use strict";
// Sort a table when its heading is clicked or activated by a key. Without this script the order is fixed.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const said = document.getElementById("said");
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(heading, button.textContent.trim()));
  }

  function sort(heading, name) {
    const falling = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const keyed = [...body.rows].map((row) => [key(row.cells[heading.cellIndex]), row]);
    keyed.sort(([a], [b]) => compare(a, b, falling ? -1 : 1));
    body.append(...keyed.map(([, row]) => row));
    said.textContent = `Sorted by ${name}, ${falling ? "descending" : "ascending"}.`;
  }
}

// The first column sorts back into the order of the study.
function key(cell) {
  if (!("number" in cell.dataset)) return cell.textContent.trim();
  return cell.dataset.number === "" ? null : Number(cell.dataset.number);
}

// Rows without a value come last in both directions.
function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), "en");
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not(.words)")) details.open = true;
});
