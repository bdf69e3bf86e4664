// Names and keyboard focus that accessibility checks (axe-core) ask for.
window.addEventListener("load", () => setTimeout(() => { // after the theme has added its buttons
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  document.querySelectorAll("pre > code, .md-typeset__scrollwrap").forEach((element) => {
    element.tabIndex = 0; // a block that scrolls sideways can be scrolled by keyboard
  });
  document.querySelectorAll("nav").forEach((nav, index) => {
    const title = nav.getAttribute("aria-label") ?? nav.querySelector("label")?.textContent.trim();
    nav.setAttribute("aria-label", `${title || "Navigation"} ${index + 1}`);
    nav.removeAttribute("aria-labelledby");
  });
}, 300));
