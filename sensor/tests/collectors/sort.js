(() => {
  const table = document.querySelector("#table-country");
  const first = () => table.tBodies[0].rows[0].cells[0].textContent;
  const head = [...table.tHead.rows[0].cells].find((head) => head.textContent === "Bytes");
  const found = [first()];
  for (let click = 0; click < 2; click += 1) {
    head.querySelector("button").click();
    found.push(`${head.getAttribute("aria-sort")} ${first()}`);
  }
  return found;
})()
