"use strict";
(() => {
  const form = document.getElementById("filter");
  const words = form.elements.namedItem("words");
  const boxes = Array.from(form.querySelectorAll("input[name=kind]"));
  const shown = document.getElementById("shown");
  const said = document.getElementById("said");
  const fold = document.getElementById("fold");
  const summary = document.getElementById("summary");
  const noMatch = document.getElementById("no-match");
  const creators = Array.from(document.querySelectorAll("details.creator"));
  const kinds = Array.from(document.querySelectorAll("section.kind"));
  const leaks = Array.from(document.querySelectorAll("article.leak"), (element) => ({ element, text: "" }));
  const openedByFilter = new Set();
  const isSearched = () => words.value.trim() !== "" || boxes.some((box) => !box.checked);

  // Cut names keep their whole in the title; the file and the function stand in the creator's heading.
  const textOf = (element) => {
    const titles = Array.from(element.querySelectorAll("[title]"), (cut) => cut.title);
    const heading = element.closest("details.creator").querySelector("summary");
    return [element.textContent, heading.textContent, ...titles].join("\n").toLowerCase();
  };

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let number = 0;
    for (const leak of leaks) {
      if (wanted.length > 0) leak.text ||= textOf(leak.element);
      const isWanted = status.has(leak.element.dataset.kind) && wanted.every((word) => leak.text.includes(word));
      leak.element.hidden = !isWanted;
      number += isWanted ? 1 : 0;
    }
    for (const part of [...creators, ...kinds]) part.hidden = part.querySelector("article.leak:not([hidden])") === null;
    for (const part of document.querySelectorAll("details.part")) {
      if (isSearched() && !part.open && !part.closest("section").hidden) {
        part.open = true;
        openedByFilter.add(part);
      } else if (!isSearched() && openedByFilter.delete(part)) part.open = false;
    }
    summary.hidden = isSearched(); // what is found stands at the top
    noMatch.hidden = number > 0;
    shown.textContent = `${number.toLocaleString("en")} of ${leaks.length.toLocaleString("en")} leaks`;
  };

  const clear = () => {
    words.value = "";
    for (const box of boxes) box.checked = true;
    filter();
  };

  // A link to a leak leads there, whatever is filtered or collapsed.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target === null) return;
    if (target.closest("[hidden]")) clear();
    for (let part = target.closest("details"); part !== null; part = part.parentElement.closest("details")) {
      part.open = true;
      openedByFilter.delete(part);
    }
    if (target.matches("section.kind")) for (const part of target.querySelectorAll("details.part")) part.open = true;
    target.scrollIntoView();
  };

  const copy = async (button) => {
    const tests = Array.from(button.parentElement.querySelectorAll(".tests code"), (test) => test.title || test.textContent);
    try {
      await navigator.clipboard.writeText(tests.join("\n"));
      said.textContent = tests.length === 1 ? "Copied the node ID" : `Copied ${tests.length} node IDs`;
      button.dataset.done = "copied";
    } catch {
      said.textContent = "The browser does not let the page copy: select the names";
      for (const list of button.parentElement.querySelectorAll("details")) list.open = true;
    }
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  fold.addEventListener("click", () => {
    const willOpen = !creators.some((part) => part.open);
    for (const part of creators) part.open = willOpen;
    fold.textContent = willOpen ? "Collapse all" : "Expand all";
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    // No hashchange comes of a link that is followed again.
    if (location.hash && event.target.closest("a")?.getAttribute("href") === location.hash) reveal();
    if (button?.matches(".copy")) copy(button);
    if (button?.matches(".only")) {
      clear();
      words.value = button.dataset.words;
      filter();
      words.focus();
      window.scrollTo(0, 0);
    }
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input[type=search], textarea, [contenteditable]");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      words.focus();
      words.select();
    } else if (event.key === "Escape" && event.target === words) clear();
  });

  // Paper has no disclosure triangles.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    for (const part of closed) part.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });

  // Code that is cut off must be reachable without a mouse; only such code, or Tab would stop at every line.
  const makeScrollable = () => {
    for (const block of document.querySelectorAll("pre")) {
      if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
      else block.removeAttribute("tabindex");
    }
  };
  document.addEventListener("toggle", makeScrollable, true);
  window.addEventListener("resize", makeScrollable);
  window.addEventListener("hashchange", reveal);
  window.addEventListener("pageshow", () => {
    filter(); // a reloaded page keeps what its fields held
    if (location.hash) reveal();
  });

  document.documentElement.classList.add("js");
  filter();
  makeScrollable();
})();
