// A welcome that is chosen or written for a channel is the one that is meant.
document.addEventListener("input", (event) => {
  const way = event.target.closest(".below-choice")?.previousElementSibling?.querySelector("input[type=radio]");
  if (way) way.checked = true;
});
